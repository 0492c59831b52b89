;; attacks: limits.host_bytes, with a file that it reads again and again
;; with: files host_bytes=1000
;; gets: resource_exhausted limit=host_bytes
;; control: raw, with files: runs on
(module
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pread" (func $pread (param i32 i32 i32 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 512) "secret")
  (data (i32.const 520) "\00\10\00\00\10\00\00\00")
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (if (call $open
        (i32.const 4) (i32.const 0) (i32.const 512) (i32.const 6) (i32.const 0)
        (i64.const 6) (i64.const 0) (i32.const 0) (i32.const 4))
      (then (unreachable)))
    (loop
      (if (call $pread (i32.load (i32.const 4)) (i32.const 520) (i32.const 1) (i64.const 0) (i32.const 516))
        (then (unreachable)))
      (br 0))
    (unreachable)))
