;; attacks: admission.exports, with a memory that the host can't reach
;; with: nothing
;; gets: invalid_argument at=compile
;; says: memory
;; control: bytes 7 6d 65 6d 6f 72 69 => 6d 65 6d 6f 72 79: answers 1
(module
  (memory (export "memori") 1)
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (i64.const 1))))
