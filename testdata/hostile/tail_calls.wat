;; attacks: admission.proposals, with calls that return: an endless run that has neither loop nor depth
;; wat2wasm: --enable-tail-call
;; with: nothing
;; gets: unimplemented at=compile
;; control: raw: runs on
(module
  (memory (export "memory") 1)
  (func $f (return_call $f))
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $f)
    (unreachable)))
