;; attacks: limits.deadline and limits.fuel, with table.fill of a hundred thousand elements
;; with: deadline=200ms table_elements=100000
;; gets: deadline_exceeded limit=deadline
;; with: fuel=5000000 table_elements=100000
;; gets: resource_exhausted limit=fuel
;; control: raw: runs on
(module
  (memory (export "memory") 1)
  (table $t 100000 funcref)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (loop
      ;; repeat 100
      (table.fill $t (i32.const 0) (ref.null func) (i32.const 100000))
      ;; end
      (br 0))
    (unreachable)))
