;; attacks: admission.proposals, with a memory shared between threads, and a wait on it that nobody ends
;; wat2wasm: --enable-threads
;; with: nothing
;; gets: unimplemented at=compile
;; says: shared
;; control: raw: runs on
(module
  (memory (export "memory") 1 1 shared)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (drop (memory.atomic.wait32 (i32.const 2048) (i32.const 0) (i64.const -1)))
    (unreachable)))
