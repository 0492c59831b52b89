;; attacks: state.call, with a secret in globals of every type, of which some aren't exported
;; with: nothing
;; gets: answers 1
;; after: answers 0
;; control: raw, twice: answers 6
(module
  (memory (export "memory") 1)
  (global $a (mut i32) (i32.const 0))
  (global $b (export "b") (mut i64) (i64.const 0))
  (global $c (mut f32) (f32.const 0))
  (global $d (mut f64) (f64.const -0))
  (global $e (mut v128) (v128.const i64x2 0 0))
  (global $f (mut funcref) (ref.null func))
  (elem declare func $answer)
  (func $found (result i64)
    (i64.extend_i32_u
      (i32.add (i32.ne (global.get $a) (i32.const 0))
      (i32.add (i64.ne (global.get $b) (i64.const 0))
      (i32.add (f32.ne (global.get $c) (f32.const 0))
      (i32.add (i64.ne (i64.reinterpret_f64 (global.get $d)) (i64.const 0x8000000000000000))
      (i32.add (v128.any_true (global.get $e))
        (i32.eqz (ref.is_null (global.get $f))))))))))
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (call $found)))))
    (global.set $a (i32.const 0x5ec4e7))
    (global.set $b (i64.const 0x5ec4e7))
    (global.set $c (f32.const 5.5))
    (global.set $d (f64.const 5.5))
    (global.set $e (v128.const i64x2 5 5))
    (global.set $f (ref.func $answer))
    (call $answer (i64.const 1))))
