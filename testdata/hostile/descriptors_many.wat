;; attacks: engine.open_files, by opening the same file until it is told that there are too many
;; with: files
;; gets: answers 33
;; control: raw, with files: answers 0
(module
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 512) "secret")
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (local $i i32) (local $errno i32)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (loop $more
      (local.set $errno (call $open
        (i32.const 4) (i32.const 0) (i32.const 512) (i32.const 6) (i32.const 0)
        (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 4)))
      (br_if $more (i32.and
        (i32.eqz (local.get $errno))
        (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 400)))))
    (call $answer (i64.extend_i32_u (local.get $errno)))))
