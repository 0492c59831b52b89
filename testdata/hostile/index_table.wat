;; attacks: metering.indices, with a table that there isn't
;; wat2wasm: --no-check
;; with: nothing
;; gets: invalid_argument at=compile
;; control: raw, bytes 10 fc 10 01 => fc 10 00: answers 5
(module
  (memory (export "memory") 1)
  (table 5 funcref)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (i64.extend_i32_u (table.size 1)))))
