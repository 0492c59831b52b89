;; attacks: admission.bounds, with loops inside of each other, for which the compiler takes a minute and doesn't stop
;; with: nothing
;; gets: resource_exhausted at=compile
;; control: raw: compiles on
(module
  (memory (export "memory") 1)
  (func $deep (param i32)
    ;; repeat 7000
    loop
    ;; end
    ;; repeat 7000
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
