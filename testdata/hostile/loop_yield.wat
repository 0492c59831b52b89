;; attacks: limits.deadline, with a loop whose only instruction of any length is the host's
;; with: deadline=200ms host_calls=1000000000000000
;; gets: deadline_exceeded limit=deadline
;; with: host_calls=1000
;; gets: resource_exhausted limit=host_calls
;; control: raw: runs on
(module
  (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
  (memory (export "memory") 1)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (loop
      (drop (call $yield))
      (br 0))
    (unreachable)))
