;; attacks: metering.indices, with the index one past its own types
;; wat2wasm: --no-check
;; with: nothing
;; gets: invalid_argument at=compile
;; control: raw, bytes 1 + 60 00 01 7e: answers 3
(module
  (memory (export "memory") 1)
  (table 1 funcref)
  (elem (i32.const 0) $three)
  (func $three (result i64) (i64.const 3))
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (call_indirect (type 4) (i32.const 0)))))
