;; attacks: limits.host_bytes, with one call for 64 MiB of random bytes
;; with: host_bytes=1000000 memory_mib=80
;; gets: resource_exhausted limit=host_bytes
;; control: with host_bytes=100000000 memory_mib=80: answers 0
;; control: raw: answers 0
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
    (call $answer (i64.extend_i32_u (call $random (i32.const 65536) (i32.const 0x4000000))))))
