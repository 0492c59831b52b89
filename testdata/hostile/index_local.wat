;; attacks: metering.indices, with the index one past its own locals, where the meter keeps how deep the stack is
;; wat2wasm: --no-check
;; with: nothing
;; gets: invalid_argument at=compile
;; control: raw, bytes 10 01 01 7e 20 00 04 => 01 02 7e 20 00 04: answers 7
(module
  (memory (export "memory") 1)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (local i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (local.set 3 (i64.const 7))
    (call $answer (local.get 3))))
