;; attacks: wasi.fd_renumber, with a number up to which the runtime's table of descriptors grows
;; with: files
;; gets: answers 8
;; control: raw, with files: allocates 60 MiB
(module
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_renumber" (func $renumber (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 512) "secret")
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (if (call $open
        (i32.const 4) (i32.const 0) (i32.const 512) (i32.const 6) (i32.const 0)
        (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 4))
      (then (unreachable)))
    (call $answer (i64.extend_i32_u (call $renumber (i32.load (i32.const 4)) (i32.const 8000000))))))
