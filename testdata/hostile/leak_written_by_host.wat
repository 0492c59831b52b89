;; attacks: state.call, with bytes that the host wrote for it, in pages that it didn't touch itself
;; with: files
;; gets: answers 6
;; after: answers 0
;; control: raw, twice, with files: answers 8193
(module
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 4)
  (data (i32.const 512) "secret")
  (data (i32.const 520) "\00\00\03\00\10\00\00\00")
  (func $found (result i64) (local $i i32) (local $n i64)
    (local.set $i (i32.const 131072))
    (loop $next
      (local.set $n (i64.add (local.get $n)
        (i64.extend_i32_u (i64.ne (i64.load (local.get $i)) (i64.const 0)))))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 8))) (i32.const 196608))))
    (i64.add (local.get $n) (i64.extend_i32_u (i32.ne (i32.load (i32.const 196608)) (i32.const 0)))))
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (call $found)))))
    (drop (call $random (i32.const 131072) (i32.const 65536)))
    (if (call $open
        (i32.const 4) (i32.const 0) (i32.const 512) (i32.const 6) (i32.const 0)
        (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 4))
      (then (unreachable)))
    (drop (call $read (i32.load (i32.const 4)) (i32.const 520) (i32.const 1) (i32.const 516)))
    (drop (call $close (i32.load (i32.const 4))))
    (call $answer (i64.load32_u (i32.const 516)))))
