;; attacks: wasi.fd_filestat_set_times, with the times of stdout, for which the runtime looks in a file system that there isn't, and panics
;; with: nothing
;; gets: answers 8|52|58
;; control: raw: traps nil pointer
(module
  (import "wasi_snapshot_preview1" "fd_filestat_set_times" (func $times (param i32 i64 i64 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (i64.extend_i32_u (call $times (i32.const 1) (i64.const 0) (i64.const 0) (i32.const 0))))))
