;; attacks: admission.proposals, with a constant that is reckoned while the module is instantiated
;; wat2wasm: --enable-extended-const
;; with: nothing
;; gets: invalid_argument|unimplemented at=compile
;; control: raw: answers 42
(module
  (memory (export "memory") 1)
  (global $g i32 (i32.mul (i32.const 6) (i32.const 7)))
  (func (export "sallyport_v1_arena") (param i32) (result i32) (i32.const 1024))
  (func (export "sallyport_v1_describe") (result i64) (i64.const 0))
  (func $answer (param i64) (result i64)
    (i64.store (i32.const 8) (local.get 0))
    (i64.const 0x800000008))
  (func (export "sallyport_v1_call") (param $tool i32) (param i32) (result i64)
    (if (local.get $tool) (then (return (call $answer (i64.const 42)))))
    (call $answer (i64.extend_i32_u (global.get $g)))))
