;; attacks: admission.bounds, with a br_table of hundreds of thousands of ways
;; grown: 20
;; with: nothing
;; gets: resource_exhausted at=compile
;; control: raw: compiles on
(module
  (memory (export "memory") 1)
  (func (param i32)
    block block block block
    (br_table
      ;; repeat 5000
      0 1 2 3
      ;; end
      0 (local.get 0))
    end end end end)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (i64.const 1))))
