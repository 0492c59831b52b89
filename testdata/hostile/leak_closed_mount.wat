;; attacks: state.call, by closing a descriptor that every call begins with
;; with: files
;; gets: answers 0
;; after: answers 0
;; control: raw, twice, with files: answers 8
(module
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_prestat_get" (func $prestat (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.extend_i32_u (call $prestat (i32.const 4) (i32.const 2048)))))))
    (call $answer (i64.extend_i32_u (call $close (i32.const 4))))))
