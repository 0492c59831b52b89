;; attacks: limits.deadline, by sleeping until a time of day far ahead
;; with: deadline=200ms
;; gets: answers 58
;; control: bytes 10 41 01 3b 01 00 => 41 00 3b 01 00, with deadline=200ms: deadline_exceeded limit=deadline
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
    (i32.store (i32.const 2064) (i32.const 0))
    (i64.store (i32.const 2072) (i64.const 0x7000000000000000))
    (i32.store16 (i32.const 2088) (i32.const 1))
    (call $answer (i64.extend_i32_u (call $poll (i32.const 2048) (i32.const 4096) (i32.const 1) (i32.const 4))))))
