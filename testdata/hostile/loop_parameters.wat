;; attacks: limits.deadline, with a loop that takes parameters and a br_if that hands them on
;; with: deadline=200ms
;; gets: deadline_exceeded limit=deadline
;; with: fuel=5000000
;; gets: resource_exhausted limit=fuel
;; control: raw: runs on
(module
  (memory (export "memory") 1)
  (func $swap (param i64 i64) (result i64 i64) (local.get 1) (local.get 0))
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (i64.const 1)
    (i64.const 2)
    (loop (param i64 i64) (result i64 i64)
      (call $swap)
      (br_if 0 (i32.const 1)))
    (drop)
    (drop)
    (unreachable)))
