;; attacks: limits.host_bytes, by having a mebibyte sent again and again
;; with: host_bytes=8000000 memory_mib=4 dispatch=1000000
;; gets: resource_exhausted limit=host_bytes
;; control: raw, with dispatch=1000000: runs on
(module
  (import "sallyport:call" "config" (func $config (param i32 i32 i32 i32) (result i64)))
  (memory (export "memory") 20)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (loop
      (drop (call $config (i32.const 0) (i32.const 0) (i32.const 65536) (i32.const 0x100000)))
      (br 0))
    (unreachable)))
