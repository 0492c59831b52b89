;; attacks: limits.host_bytes, by printing
;; with: host_bytes=8000000 memory_mib=4
;; gets: resource_exhausted limit=host_bytes
;; with: deadline=200ms memory_mib=4 host_calls=1000000000000000 host_bytes=1000000000000000000
;; gets: deadline_exceeded limit=deadline
;; control: raw: runs on
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 20)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (i32.store (i32.const 2048) (i32.const 65536))
    (i32.store (i32.const 2052) (i32.const 0x100000))
    (loop
      (drop (call $write (i32.const 1) (i32.const 2048) (i32.const 1) (i32.const 4)))
      (br 0))
    (unreachable)))
