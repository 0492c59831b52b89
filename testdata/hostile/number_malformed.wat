;; attacks: admission.numbers, with a number of more bytes than it may have
;; bytes: 10 42 81 80 80 80 80 80 80 80 80 7f => 42 81 80 80 80 80 80 80 80 80 ff 7f
;; with: nothing
;; gets: invalid_argument at=compile
;; control: bytes 10 42 81 80 80 80 80 80 80 80 80 ff 7f => 42 81 80 80 80 80 80 80 80 80 7f: answers -9223372036854775807
(module
  (memory (export "memory") 1)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (i64.const 0x8000000000000001))))
