;; attacks: admission.bounds, with a br_table of eight thousand ways that each carry nine hundred values
;; with: nothing
;; gets: resource_exhausted at=compile
;; control: raw: compiles on
(module
  (memory (export "memory") 1)
  (func $wide (param i32)
    (block (result
      ;; repeat 900
      i32
      ;; end
      )
      ;; repeat 900
      local.get 0
      ;; end
      (br_table
        ;; repeat 8000
        0
        ;; end
        0 (local.get 0)))
    ;; repeat 900
    drop
    ;; end
    )
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $wide (i32.const 0))
    (call $answer (i64.const 1))))
