;; attacks: limits.deadline, with one call of poll_oneoff for a million clocks, which nothing interrupts
;; with: memory_mib=100
;; gets: answers 28
;; control: raw: answers 1000000
(module
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1300)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (local $errno i32)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (local.set $errno (call $poll (i32.const 65536) (i32.const 48065536) (i32.const 1000000) (i32.const 4)))
    (if (local.get $errno) (then (return (call $answer (i64.extend_i32_u (local.get $errno))))))
    (call $answer (i64.load32_u (i32.const 4)))))
