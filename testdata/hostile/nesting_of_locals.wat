;; attacks: admission.bounds, with six kilobytes of loops inside of each other, each with a variable of its own, for which the compiler takes a minute
;; with: nothing
;; gets: resource_exhausted at=compile
;; control: raw: compiles on
(module
  (memory (export "memory") 1)
  (func $deep (param i32)
    (local
      ;; repeat 400
      i32
      ;; end
      )
    ;; repeat 400
    loop (local.set {n+1} (i32.add (local.get {n+1}) (i32.const 1)))
    ;; end
    ;; repeat 400
    local.get 0 br_if 0 end
    ;; end
    )
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $deep (i32.const 0))
    (call $answer (i64.const 1))))
