;; attacks: abi.initialize, with operations and files before there is a call to grant them
;; with: files
;; gets: answers 0
;; control: raw, with files: answers 2
(module
  (import "sallyport:call" "log" (func $log (param i32 i32 i32 i32) (result i64)))
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 512) "secret")
  (global $reached (mut i64) (i64.const 0))
  (func (export "_initialize")
    (if (i64.ge_s (call $log (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)) (i64.const 0))
      (then (global.set $reached (i64.const 1))))
    (if (i32.eqz (call $open
        (i32.const 4) (i32.const 0) (i32.const 512) (i32.const 6) (i32.const 0)
        (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 4)))
      (then (global.set $reached (i64.add (global.get $reached) (i64.const 1))))))
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (global.get $reached))))
