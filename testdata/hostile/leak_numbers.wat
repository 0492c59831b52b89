;; attacks: state.call, with a secret in numeric globals alone: the instance itself is used again
;; with: nothing
;; gets: answers 1
;; after: answers 0
;; control: raw, twice: answers 4
(module
  (memory (export "memory") 1)
  (global $a (mut i32) (i32.const 7))
  (global $b (mut i64) (i64.const 7))
  (global $c (mut f32) (f32.const nan:0x200002))
  (global $d (mut f64) (f64.const nan:0x4000000000002))
  (func $found (result i64)
    (i64.extend_i32_u
      (i32.add (i32.ne (global.get $a) (i32.const 7))
      (i32.add (i64.ne (global.get $b) (i64.const 7))
      (i32.add (i32.ne (i32.reinterpret_f32 (global.get $c)) (i32.const 0x7fa00002))
        (i64.ne (i64.reinterpret_f64 (global.get $d)) (i64.const 0x7ff4000000000002)))))))
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (call $found)))))
    (global.set $a (i32.const -1))
    (global.set $b (i64.const -1))
    (global.set $c (f32.const nan:0x200001))
    (global.set $d (f64.const nan:0x4000000000001))
    (call $answer (i64.const 1))))
