;; attacks: admission.exports, with two functions of one name: which is the one that was looked at
;; wat2wasm: --no-check
;; with: nothing
;; gets: invalid_argument at=compile
;; says: twice
;; control: bytes 7 63 61 6c 6c 00 04 => 63 61 6c 6d 00 04: answers 1
(module
  (memory (export "memory") 1)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (i64.const 1)))
  (func (export "sallyport_v1_call") (param i32 i32) (result i64) (unreachable)))
