;; attacks: state.call, with a secret in all of the memory, which the next call looks for
;; with: nothing
;; gets: answers 1
;; after: answers 0
;; control: raw: answers 1
;; control: raw, twice: answers 15872
(module
  (memory (export "memory") 2)
  (global $key i64 (i64.const 0x5ec4e7a11c0ffee1))
  (func $scan (result i64) (local $i i32) (local $n i64)
    (loop $next
      (if (i64.eq (i64.load (local.get $i)) (global.get $key))
        (then (local.set $n (i64.add (local.get $n) (i64.const 1)))))
      (br_if $next (i32.le_u
        (local.tee $i (i32.add (local.get $i) (i32.const 8)))
        (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 8)))))
    (local.get $n))
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (local $i i32)
    (if (local.get $tool) (then (return (call $answer (call $scan)))))
    (loop $next
      (i64.store (i32.const 2048) (i64.const 0))
      (i64.store (i32.add (local.get $i) (i32.const 4096)) (global.get $key))
      (br_if $next (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 8))) (i32.const 126976))))
    (call $answer (i64.const 1))))
