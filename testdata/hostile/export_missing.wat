;; attacks: admission.exports, with a plugin that has nothing to call
;; with: nothing
;; gets: invalid_argument at=compile
;; says: sallyport_v1_call
;; control: bytes 7 63 61 6c 6d => 63 61 6c 6c: answers 1
(module
  (memory (export "memory") 1)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_calm") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (i64.const 1))))
