;; attacks: limits.stack_kib, with few calls and two hundred locals in each, all of them still needed when it returns
;; with: stack_kib=1024
;; gets: resource_exhausted limit=stack_kib
;; control: with stack_kib=32768: answers 1000
;; control: raw: answers 1000
(module
  (memory (export "memory") 1)
  (func $f (param i32) (result i64)
    (local
      ;; repeat 200
      i64
      ;; end
      )
    (if (i32.eqz (local.get 0)) (then (return (i64.const 0))))
    ;; repeat 200
    (local.set {n+1} (i64.load offset=2048 (i32.add (local.get 0) (i32.const {n}))))
    ;; end
    (i64.add (call $f (i32.sub (local.get 0) (i32.const 1))) (i64.const 1))
    ;; repeat 200
    (i64.add (local.get {n+1}))
    ;; end
    )
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (call $f (i32.const 1000)))))
