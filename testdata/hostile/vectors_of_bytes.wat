;; attacks: limits.deadline and limits.host_bytes, with one call of fd_write for a thousand times the same 64 MiB
;; with: deadline=200ms memory_mib=80 host_bytes=1000000000000000000
;; gets: deadline_exceeded limit=deadline
;; with: host_bytes=8000000 memory_mib=80
;; gets: resource_exhausted limit=host_bytes
;; control: raw: runs on
(module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1025)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (local $i i32)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (loop $next
      (i32.store (i32.add (i32.const 2048) (local.get $i)) (i32.const 65536))
      (i32.store offset=4 (i32.add (i32.const 2048) (local.get $i)) (i32.const 0x4000000))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 8))) (i32.const 8000))))
    (loop
      (drop (call $write (i32.const 2) (i32.const 2048) (i32.const 1000) (i32.const 4)))
      (br 0))
    (unreachable)))
