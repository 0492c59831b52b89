;; attacks: wasi.path_open, by climbing out of a mount
;; with: files
;; gets: answers 63
;; control: bytes 11 09 2e 2e 2f 73 65 => 06 73 65, bytes 10 41 09 41 00 42 02 => 41 06 41 00 42 02, with files: answers 0
(module
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 512) "../secret")
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (i64.extend_i32_u (call $open
      (i32.const 4) (i32.const 0) (i32.const 512) (i32.const 9) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 4))))))
