;; attacks: state.call, with a secret in pages that it grew, which the next call grows again
;; with: memory_mib=1
;; gets: answers 1
;; after: answers 0
;; control: raw, twice: answers 1
(module
  (memory (export "memory") 1)
  (global $key i64 (i64.const 0x5ec4e7a11c0ffee1))
  (func $look (result i64)
    (drop (memory.grow (i32.const 10)))
    (i64.extend_i32_u (i64.eq (i64.load (i32.const 700000)) (global.get $key))))
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (call $look)))))
    (drop (memory.grow (i32.const 10)))
    (i64.store (i32.const 700000) (global.get $key))
    (call $answer (i64.const 1))))
