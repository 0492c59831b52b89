;; attacks: metering.indices, with a data segment that there isn't
;; wat2wasm: --no-check
;; with: nothing
;; gets: invalid_argument at=compile
;; control: raw, bytes 10 fc 08 01 00 => fc 08 00 00: answers 97
(module
  (memory (export "memory") 1)
  (data "a")
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (memory.init 1 (i32.const 2048) (i32.const 0) (i32.const 1))
    (call $answer (i64.load8_u (i32.const 2048)))))
