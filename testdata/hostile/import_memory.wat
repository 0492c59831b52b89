;; attacks: admission.imports, with a memory that is somebody else's
;; with: nothing
;; gets: invalid_argument at=compile
;; says: env.memory
;; control: raw: answers 1952805475
(module
  (import "env" "memory" (memory 1))
  (export "memory" (memory 0))
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 2048))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (i64.load32_u (i32.const 1026)))))
