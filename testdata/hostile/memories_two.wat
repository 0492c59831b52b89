;; attacks: admission.proposals, with a second memory, which no limit would count
;; wat2wasm: --enable-multi-memory
;; with: nothing
;; gets: resource_exhausted|unimplemented at=compile
;; control: bytes 5 02 00 01 00 80 02 => 01 00 01: answers 1
(module
  (memory (export "memory") 1)
  (memory 256)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (i64.const 1))))
