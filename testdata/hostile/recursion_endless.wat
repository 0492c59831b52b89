;; attacks: limits.stack_kib, which the runtime keeps outside of the memory
;; with: stack_kib=64
;; gets: resource_exhausted limit=stack_kib
;; with: nothing
;; gets: resource_exhausted limit=stack_kib
;; control: raw: allocates 100 MiB
(module
  (memory (export "memory") 1)
  (func $f (param i64) (result i64) (i64.add (call $f (i64.add (local.get 0) (i64.const 1))) (local.get 0)))
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (call $f (i64.const 0)))))
