;; attacks: limits.table_elements, with a table that has no maximum
;; with: nothing
;; gets: answers -1
;; control: raw: answers 1
(module
  (memory (export "memory") 1)
  (table $t 1 externref)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (i64.extend_i32_s (table.grow $t (ref.null extern) (i32.const 0x1000000))))))
