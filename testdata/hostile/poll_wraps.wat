;; attacks: wasi.poll_oneoff, with so many subscriptions that their bytes, counted in 32 bits, are few
;; with: nothing
;; gets: answers 28
;; control: raw: traps
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
    (call $answer (i64.extend_i32_u (call $poll (i32.const 2048) (i32.const 32768) (i32.const 0x10000000) (i32.const 4))))))
