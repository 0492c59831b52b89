;; attacks: limits.deadline and cancellation, by sleeping for a day
;; with: deadline=200ms
;; gets: deadline_exceeded limit=deadline
;; with: cancel=100ms
;; gets: canceled
;; control: raw: runs on
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (i64.store (i32.const 2048) (i64.const 7))
    (i32.store8 (i32.const 2056) (i32.const 0))
    (i32.store (i32.const 2064) (i32.const 1))
    (i64.store (i32.const 2072) (i64.const 86400000000000))
    (i32.store16 (i32.const 2088) (i32.const 0))
    (call $answer (i64.extend_i32_u (call $poll (i32.const 2048) (i32.const 4096) (i32.const 1) (i32.const 4))))))
