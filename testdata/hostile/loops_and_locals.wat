;; attacks: admission.bounds, with thousands of loops one after the other and three thousand locals
;; with: nothing
;; gets: resource_exhausted at=compile
;; control: raw: compiles on
(module
  (memory (export "memory") 1)
  (func $many (param i32)
    (local
      ;; repeat 3000
      i32
      ;; end
      )
    ;; repeat 3000
    loop (local.set {n+1} (i32.add (local.get {n+1}) (i32.const 1))) (br_if 0 (local.get 0)) end
    ;; end
    )
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $many (i32.const 0))
    (call $answer (i64.const 1))))
