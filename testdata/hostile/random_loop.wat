;; attacks: limits.deadline, with calls that fill 64 MiB each
;; with: deadline=200ms memory_mib=80 host_bytes=100000000000
;; gets: deadline_exceeded limit=deadline
;; with: cancel=100ms memory_mib=80 host_bytes=100000000000
;; gets: canceled
;; control: raw: runs on
(module
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 1025)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (loop
      (drop (call $random (i32.const 65536) (i32.const 0x4000000)))
      (br 0))
    (unreachable)))
