;; attacks: limits.stack_kib, with three hundred parameters and as many results, which the caller's frame holds too
;; with: stack_kib=1024
;; gets: resource_exhausted limit=stack_kib
;; control: with stack_kib=32768: answers 1000
;; control: raw: answers 1000
(module
  (memory (export "memory") 1)
  (func $f
    (param
      ;; repeat 300
      i64
      ;; end
      )
    (result
      ;; repeat 300
      i64
      ;; end
      )
    (if (i64.eqz (local.get 299)) (then
      ;; repeat 300
      (i64.const 0)
      ;; end
      (return)))
    ;; repeat 299
    (local.get {n})
    ;; end
    (i64.sub (local.get 299) (i64.const 1))
    (call $f)
    (i64.add (i64.const 1)))
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (local $x i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    ;; repeat 299
    (i64.const 0)
    ;; end
    (i64.const 1000)
    (call $f)
    (local.set $x)
    ;; repeat 299
    (drop)
    ;; end
    (call $answer (local.get $x))))
