;; attacks: limits.stack_kib, with a depth that has an end
;; with: stack_kib=256
;; gets: resource_exhausted limit=stack_kib
;; control: with stack_kib=32768: answers 50000
;; control: raw: answers 50000
(module
  (memory (export "memory") 1)
  (func $f (param i64) (result i64)
    (if (i64.eqz (local.get 0)) (then (return (i64.const 0))))
    (i64.add (call $f (i64.sub (local.get 0) (i64.const 1))) (i64.const 1)))
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (call $f (i64.const 50000)))))
