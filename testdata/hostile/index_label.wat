;; attacks: metering.indices, with a branch one block further out than there are: out of the function, past its bookkeeping
;; wat2wasm: --no-check
;; with: nothing
;; gets: invalid_argument at=compile
;; control: raw, bytes 10 0c 02 0b => 0c 01 0b: returns 5
(module
  (memory (export "memory") 1)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (block (i64.const 5) (br 2))
    (unreachable)))
