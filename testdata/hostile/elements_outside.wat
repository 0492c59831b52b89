;; attacks: admission.segments, with elements beyond the table, for which the runtime leaves out all that follow and says nothing
;; with: nothing
;; gets: invalid_argument at=compile
;; control: raw: answers 1
;; control: bytes 4 01 70 00 02 => 01 70 00 03: answers 0
(module
  (memory (export "memory") 1)
  (table $t 2 funcref)
  (elem (i32.const 1) $f $f)
  (elem (i32.const 0) $f)
  (func $f)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (i64.extend_i32_u (ref.is_null (table.get $t (i32.const 0)))))))
