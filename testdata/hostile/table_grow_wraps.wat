;; attacks: limits.table_elements, with growth that is negative for whoever takes it for signed
;; with: table_elements=1000
;; gets: answers -1
;; control: bytes 10 41 81 80 80 80 78 => 41 01, with table_elements=1000: answers 10
(module
  (memory (export "memory") 1)
  (table $t 10 funcref)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (i64.extend_i32_s (table.grow $t (ref.null func) (i32.const 0x80000001))))))
