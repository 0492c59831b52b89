;; attacks: state.call, with a file that it leaves open and the next call reads
;; with: files
;; gets: answers 0
;; after: answers 0
;; control: raw, twice, with files: answers 1
(module
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 512) "secret")
  (data (i32.const 2048) "\00\10\00\00\10\00\00\00")
  (func $readable (result i64) (local $fd i32) (local $n i64)
    (local.set $fd (i32.const 2))
    (loop $next
      (local.set $n (i64.add (local.get $n)
        (i64.extend_i32_u (i32.eqz (call $read (local.get $fd) (i32.const 2048) (i32.const 1) (i32.const 4))))))
      (br_if $next (i32.lt_u (local.tee $fd (i32.add (local.get $fd) (i32.const 1))) (i32.const 64))))
    (local.get $n))
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (call $readable)))))
    (call $answer (i64.extend_i32_u (call $open
      (i32.const 4) (i32.const 0) (i32.const 512) (i32.const 6) (i32.const 0)
      (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 4))))))
