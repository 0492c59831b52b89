;; attacks: admission.bounds, with thousands of functions of which each has as many locals as one may
;; bytes: 10 all 01 01 7e 41 03 1a => 01 d0 86 03 7e 41 03 1a
;; with: nothing
;; gets: resource_exhausted at=compile
;; control: raw: compiles on
(module
  (memory (export "memory") 1)
  ;; repeat 4000
  (func (local i64) (drop (i32.const 3)))
  ;; end
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (i64.const 1))))
