;; attacks: limits.deadline, while the host asks where to put the request
;; with: deadline=200ms
;; gets: deadline_exceeded limit=deadline
;; after: deadline_exceeded limit=deadline
;; with: fuel=1000000
;; gets: resource_exhausted limit=fuel
;; after: resource_exhausted limit=fuel
;; control: raw, arena: runs on
(module
  (memory (export "memory") 1)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (loop (br 0)) (unreachable))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (i64.const 1))))
